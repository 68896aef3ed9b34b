# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["89.834us", "22.724us", "53.039us"]
p99 = ["143.364us", "29.864us", "93.079us"]
max = ["173.479us", "130.935us", "122.402us"]
[device.exit]
p50 = ["15.312us", "8.082us", "17.095us"]
p99 = ["27.531us", "13.78us", "44.346us"]
max = ["53.61us", "56.574us", "76.204us"]
