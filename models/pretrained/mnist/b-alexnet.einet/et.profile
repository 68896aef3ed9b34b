# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, lane time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["369.594us", "55.524us", "136.906us"]
p99 = ["457.739us", "85.3us", "177.533us"]
max = ["578.266us", "127.41us", "180.509us"]
[device.exit]
p50 = ["41.127us", "39.785us", "40.907us"]
p99 = ["68.238us", "67.436us", "77.866us"]
max = ["131.427us", "96.411us", "111.379us"]
