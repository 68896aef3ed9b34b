[[device]]
kind = "cpu"
machine = "one core"
method = "500 runs"
[device.trunk]
p50 = ["1ms", "2us"]
p99 = ["1.5ms", "2us"]
max = ["2s", "2us"]
[device.exit]
p50 = ["0ns", "1ns"]
p99 = ["0ns", "1ns"]
max = ["0ns", "1ns"]
