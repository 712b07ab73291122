# Ballots given before the guards were ready barred their members for ever (voter.go, advance.go).
seed 191
shape members=3 quorum=false k=1 tight=true degrade=true failsafe=false benign=false
lasts 1m5.511893671s
fault 14.352s primary-host-frozen 0 2 465ms
fault 26.995s postmaster-stopped 2 2 937ms
fault 31.907s host-paused-unseen 0 2 561ms
fault 33.268s primary-hangs 1 2 1.527s
fault 41.438s host-isolated 1 1 4.119s
fault 43.277s sidecar-killed 0 2 1.993s
fault 44.345s primary-isolated 0 2 1.379s
fault 49.005s primary-host-lost 0 0 3.068s
fault 52.862s crash-between-steps 1 1 1.772s
fault 54.574s settings-lowered 2 2 1.904s
fault 56.713s sidecar-killed 0 0 559ms
