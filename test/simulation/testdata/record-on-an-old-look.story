# A step of the record was judged on what the server enforced before the synchronise that had just landed (execute.go).
seed 430
shape members=3 quorum=true k=1 tight=true degrade=false failsafe=true benign=false
lasts 1m11.238096726s
fault 4.881s etcd-unreachable-to-primary 0 1 313ms
fault 6.411s primary-cut-from-peers 1 1 798ms
fault 7.724s host-frozen 2 1 3.978s
fault 8.831s primary-host-lost 2 2 1.992s
fault 13.175s lease-revoked 0 2 1.209s
fault 15.974s backend-crashes 2 0 234ms
fault 16.259s host-frozen 2 0 5.279s
fault 18.245s primary-isolated 2 2 559ms
fault 20.171s sidecar-stopped 0 1 637ms
fault 21.524s postmaster-stopped 1 0 856ms
fault 21.857s etcd-quorum-lost 1 0 7.647s
fault 23.17s standby-killed 2 2 1.645s
fault 25.911s etcd-unreachable-to-primary 1 2 944ms
fault 28.014s etcd-unreachable 0 0 458ms
fault 31.285s primary-sidecar-killed 0 2 1.236s
fault 31.854s backends-left 0 2 523ms
fault 38.881s primary-host-lost 0 2 1.367s
fault 39.154s server-hangs 2 0 6.688s
fault 40.472s link-half-open 0 1 2.135s
fault 42.993s primary-killed 2 2 1.122s
fault 45.911s primary-host-lost 0 0 1.683s
fault 47.077s primary-host-frozen 1 1 2.329s
fault 47.774s primary-isolated 1 0 2.136s
fault 48.364s etcd-quorum-lost 1 0 1.874s
fault 50.275s crash-between-steps 2 1 1.963s
fault 53.022s primary-hangs 2 1 580ms
fault 54.776s guard-killed 1 1 1.649s
fault 57.07s host-lost 1 1 293ms
fault 58.973s backends-left 1 0 1.11s
fault 1m0.367s sidecar-killed 2 2 1.486s
