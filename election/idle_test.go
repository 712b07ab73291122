package election_test
import ("testing";"time";"syscall";"github.com/pgvigil/pgvigil/watchdog";"runtime")
func cpu() time.Duration { var r syscall.Rusage; _ = syscall.Getrusage(0,&r); return time.Duration(r.Utime.Nano()+r.Stime.Nano()) }
func TestIdleCost(t *testing.T) {
	a := startDebian(t); b := freeAddress(t)
	c := open(t,"idle",a,b)
	if _, err := c.Grant(t.Context(), 5*time.Second); err != nil { t.Fatal(err) }
	_ = c.Watch(t.Context())
	rev := int64(0)
	for i := range 2 {
	c0, t0 := cpu(), time.Now()
	tick := time.NewTicker(time.Second)
	for n := range 20 { <-tick.C
		if err := c.KeepAlive(within(t,900*time.Millisecond)); err != nil { t.Fatal(err) }
		if i == 1 {
			r, err := c.Apply(within(t,900*time.Millisecond), watchdog.Change{If: watchdog.If{PrimaryTermRev:&rev}, PrimaryTerm: &watchdog.PrimaryTerm{Term:1,Holder:"a",Incarnation:"b",Counter:uint64(n)}})
			if err != nil { t.Fatal(err) }
			rev = r
			if _, err := c.Read(within(t,900*time.Millisecond)); err != nil { t.Fatal(err) }
		}
	}
	t.Logf("phase %d: %.3f%% of a core, %d goroutines", i, 100*float64(cpu()-c0)/float64(time.Since(t0)), runtime.NumGoroutine())
	}
}
