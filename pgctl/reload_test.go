package pgctl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReloadSaysWhatChanged(t *testing.T) {
	eachMajor(t, func(t *testing.T, bin string) {
		one := newPrimary(t, bin)
		in := one.open()
		file := filepath.Join(one.dir, "postgresql.conf")
		good, err := os.ReadFile(file)
		one.must(err)
		write := func(lines string) { one.must(os.WriteFile(file, append(append([]byte{}, good...), lines...), 0o600)) }

		write("work_mem = '7MB'\nmax_connections = 77\n")
		said, err := in.Reload(one.context())
		if err != nil || said != "settings that changed: work_mem; that wait for a restart: max_connections" {
			t.Errorf("%q %v", said, err)
		}
		if pending, err := in.PendingRestart(one.context()); err != nil || len(pending) != 1 || pending[0] != "max_connections" {
			t.Errorf("pending: %v %v", pending, err)
		}

		for _, wrong := range []string{"work_mem = 'much'\n", "max_connections 'x\n", "max_connections = many\n"} {
			write("work_mem = '7MB'\n" + wrong)
			if said, err = in.Reload(one.context()); err == nil || !strings.Contains(err.Error(), "postgresql.conf:") {
				t.Errorf("%q: %q %v", wrong, said, err)
			}
		}
		if got := one.value("SHOW work_mem"); got != "7MB" {
			t.Errorf("work_mem is %s", got)
		}
		write("work_mem = '7MB'\n")
		if said, err = in.Reload(one.context()); err != nil || !strings.HasSuffix(said, "restart: none") {
			t.Errorf("mended: %q %v", said, err)
		}
	})
}
