# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["130.414us", "125.356us", "125.137us", "124.946us", "125.096us", "124.876us", "63.594us", "68.001us", "67.53us", "67.6us"]
p99 = ["198.185us", "178.596us", "196.222us", "196.322us", "192.627us", "200.489us", "93.989us", "115.182us", "127.48us", "138.246us"]
max = ["218.826us", "226.177us", "999.538us", "223.323us", "495.558us", "233.708us", "136.834us", "174.29us", "163.333us", "198.956us"]
[device.exit]
p50 = ["7.02us", "6.781us", "6.71us", "6.811us", "6.81us", "6.8us", "7.842us", "7.591us", "7.601us", "7.531us"]
p99 = ["14.051us", "13.63us", "13.38us", "19.8us", "17.646us", "15.884us", "15.162us", "15.143us", "14.612us", "31.777us"]
max = ["36.384us", "52.328us", "69.564us", "75.803us", "110.614us", "104.075us", "16.585us", "62.363us", "69.984us", "62.563us"]
