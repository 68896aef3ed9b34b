# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["131.146us", "125.918us", "125.537us", "125.496us", "125.527us", "125.667us", "64.096us", "68.181us", "67.741us", "67.681us"]
p99 = ["189.342us", "200.068us", "183.283us", "194.56us", "184.085us", "179.828us", "83.605us", "114.561us", "115.652us", "115.191us"]
max = ["232.026us", "633.162us", "796.206us", "2.076772ms", "219.046us", "662.146us", "118.236us", "158.636us", "1.283231ms", "154.18us"]
[device.exit]
p50 = ["7.311us", "6.85us", "6.76us", "6.86us", "6.891us", "7.091us", "8.273us", "7.802us", "7.542us", "7.541us"]
p99 = ["15.673us", "14.742us", "16.134us", "17.697us", "16.294us", "17.736us", "20.1us", "17.045us", "16.985us", "14.431us"]
max = ["25.689us", "55.072us", "61.131us", "65.237us", "79.838us", "75.052us", "103.915us", "21.201us", "50.305us", "20.801us"]
