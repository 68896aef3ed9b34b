# Measured times per block: trunk, and exit where it is executed.

[[device]]
kind = "cpu"
machine = "AMD EPYC"
method = "onednn, one thread, real-time rank, processor time of 500 rounds of all blocks and exits after 20 to warm up"
[device.trunk]
p50 = ["122.983us", "118.286us", "118.086us", "117.966us", "118.387us", "118.426us", "60.15us", "64.846us", "64.346us", "64.316us"]
p99 = ["175.853us", "165.977us", "161.381us", "165.877us", "165.577us", "162.471us", "115.833us", "99.839us", "100.951us", "92.157us"]
max = ["195.021us", "183.493us", "188.04us", "208.3us", "197.144us", "193.709us", "140.269us", "120.019us", "116.604us", "105.076us"]
[device.exit]
p50 = ["6.77us", "6.399us", "6.359us", "6.319us", "6.51us", "6.599us", "7.571us", "7.301us", "7.05us", "7.19us"]
p99 = ["13.11us", "12.338us", "12.548us", "11.827us", "12.148us", "12.939us", "15.573us", "11.737us", "12.9us", "11.507us"]
max = ["23.595us", "19.489us", "55.463us", "14.021us", "59.839us", "23.685us", "58.798us", "13.67us", "74.782us", "12.739us"]
