# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["143.984us", "30.876us", "73.038us"]
p99 = ["204.744us", "80.94us", "130.094us"]
max = ["224.634us", "105.397us", "136.994us"]
[device.exit]
p50 = ["24.697us", "11.537us", "21.762us"]
p99 = ["35.052us", "13.941us", "25.247us"]
max = ["87.981us", "60.34us", "77.095us"]
