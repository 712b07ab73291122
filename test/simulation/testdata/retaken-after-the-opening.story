# A winner whose sidecar had died took its term back after the leader had opened the next one (RetakeChange in changes.go).
seed 1925
shape members=4 quorum=false k=1 tight=true degrade=false failsafe=false benign=false
tags
lasts 1m15.151080088s
fault 3.501s host-frozen 3 3 2.148s
fault 5.164s etcd-answers-lost 2 1 4.247s
fault 5.975s disk-stalls 1 2 1.114s
fault 6.463s etcd-leader-changes 3 2 360ms
fault 7.92s primary-sidecar-stopped 3 2 924ms
fault 8.636s crash-between-steps 2 1 812ms
fault 9.343s host-paused-unseen 3 2 2.089s
fault 10.855s postmaster-killed 0 3 1.167s
fault 12.786s primary-killed 3 1 1.543s
