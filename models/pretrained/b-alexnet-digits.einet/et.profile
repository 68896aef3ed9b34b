# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["11.828us", "76.804us", "52.398us"]
p99 = ["16.515us", "132.017us", "113.95us"]
max = ["25.859us", "165.236us", "142.562us"]
[device.exit]
p50 = ["6.79us", "11.807us", "29.914us"]
p99 = ["11.367us", "27.541us", "53.53us"]
max = ["13.45us", "71.426us", "99.918us"]
