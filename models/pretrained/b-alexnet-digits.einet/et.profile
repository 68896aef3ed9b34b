# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["11.287us", "72.708us", "49.593us"]
p99 = ["14.291us", "106.819us", "70.866us"]
max = ["92.097us", "133.198us", "80.67us"]
[device.exit]
p50 = ["6.409us", "11.177us", "28.482us"]
p99 = ["7.091us", "14.141us", "49.904us"]
max = ["8.552us", "56.844us", "59.318us"]
