package api
import ("testing";"time";"os";"fmt";"context";"syscall")
func TestZZIdle(t *testing.T) {
	if os.Getenv("IDLE") == "" { t.Skip() }
	s := NewServer(&stage{snapshot: standby()}, Options{Listen: os.Getenv("IDLE")})
	if err := s.Listen(); err != nil { t.Fatal(err) }
	go s.Run(t.Context())
	peers := NewPeers(Options{})
	tk := time.NewTicker(250*time.Millisecond)
	var a, b syscall.Rusage
	n := 2
	if os.Getenv("N") == "0" { n = 0 }
	for i := 0; i < 84; i++ {
		<-tk.C
		if i == 4 { syscall.Getrusage(0, &a) }
		for k := 0; k < n; k++ {
		ctx, c := context.WithTimeout(t.Context(), time.Second)
		_, _, err := peers.Heartbeat(ctx, os.Getenv("PEER"), me); c()
		if err != nil && i > 8 && i < 75 { t.Error(err) } }
	}
	syscall.Getrusage(0, &b)
	d := func(x, y syscall.Timeval) float64 { return float64(y.Nano()-x.Nano())/1e9 }
	fmt.Printf("n %d cpu user %.3f%% sys %.3f%% csw %d\n", n, d(a.Utime,b.Utime)/20*100,d(a.Stime,b.Stime)/20*100, b.Nvcsw-a.Nvcsw)
}
