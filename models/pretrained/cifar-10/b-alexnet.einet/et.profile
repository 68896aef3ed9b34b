# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["144.836us", "31.166us", "73.639us"]
p99 = ["219.427us", "78.186us", "141.341us"]
max = ["258.354us", "105.807us", "162.191us"]
[device.exit]
p50 = ["21.982us", "10.305us", "20.31us"]
p99 = ["35.452us", "14.371us", "33.3us"]
max = ["98.166us", "32.849us", "73.81us"]
