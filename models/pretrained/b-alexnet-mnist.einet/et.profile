# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["12.018us", "78.277us", "54.021us"]
p99 = ["39.269us", "144.896us", "105.096us"]
max = ["105.808us", "171.285us", "134.32us"]
[device.exit]
p50 = ["6.87us", "12.209us", "30.595us"]
p99 = ["20.15us", "29.504us", "66.699us"]
max = ["81.902us", "83.985us", "137.324us"]
