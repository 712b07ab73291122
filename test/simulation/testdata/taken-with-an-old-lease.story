# An heir counted its trust from a keep-alive of before an outage of etcd, and was fenced at once (promote.go).
seed 1628
shape members=3 quorum=false k=1 tight=true degrade=false failsafe=true benign=false
lasts 1m19.805069545s
fault 4.82s postmaster-killed 2 2 2.18s
fault 8.163s sidecar-killed 0 0 165ms
fault 8.82s etcd-answers-lost 1 0 1.342s
fault 9.001s primary-host-lost 1 2 2.061s
fault 9.084s primary-sidecar-killed 2 1 4.636s
fault 10.255s primary-cut-from-peers 0 0 1.599s
fault 10.653s etcd-slow 1 2 1.941s
fault 10.836s primary-host-frozen 1 1 1.752s
fault 12.816s disk-stalls 2 0 1.968s
fault 12.996s postmaster-killed 2 0 1.71s
fault 14.066s primary-isolated 2 0 1.909s
fault 14.233s host-paused-unseen 0 0 2.409s
fault 14.525s standby-killed 0 2 7.871s
fault 16.376s primary-killed 0 2 512ms
fault 18.5s link-cut 2 1 1.525s
fault 18.866s primary-killed 0 0 168ms
fault 19.535s primary-killed 0 2 932ms
fault 20.276s standby-killed 0 0 2.053s
fault 20.567s etcd-slow 0 1 297ms
fault 20.781s etcd-quorum-lost 1 0 174ms
fault 21.502s sidecar-killed 0 2 797ms
fault 21.705s backend-crashes 0 0 1.886s
fault 22.937s postmaster-stopped 1 1 6.847s
fault 23.018s etcd-answers-lost 2 0 2.283s
fault 23.555s primary-host-lost 0 1 636ms
