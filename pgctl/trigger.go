package pgctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pgvigil/pgvigil/watchdog/sidecar"
)

// configuredTrigger returns the path of the trigger file that the running server looks for, empty if none.
func (p *promotion) configuredTrigger(ctx context.Context) (string, error) {
	setting := p.version.triggerSetting
	if setting == "" {
		return "", nil
	}
	var name string
	err := errors.New("not to be asked")
	if !p.version.recoveryConf {
		err = p.scan(ctx, []any{&name}, "SELECT current_setting('"+setting+"')")
	}
	if err != nil {
		if name, err = p.standbySetting(setting); err != nil {
			return "", err
		}
	}
	if name == "" {
		return "", nil
	}
	return beside(filepath.Join(p.config.DataDir, "x"), name), nil
}

// pull creates the trigger file that the server is configured with and wakes it, so that its poll of 5 s is not waited for;
// else it does as pg_ctl promote does.
func (p *promotion) pull() error {
	p.since = time.Now()
	p.wokenAt, p.movedAt = p.since, p.since
	if p.version.fallbackFile { // it would make the promotion wait for a checkpoint
		if err := p.removeFile(filepath.Join(p.config.DataDir, "fallback_promote")); err != nil {
			p.log.Warn("fallback_promote cannot be removed", "error", err)
		}
	}
	if p.trigger == "" {
		return p.pullBySignal()
	}
	err := p.owner.act(func() error {
		f, err := os.OpenFile(p.trigger, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		p.log.Warn("the configured trigger file cannot be created, and the server is promoted by signal instead; "+
			"let the server's owner write there, or unset it", "setting", p.version.triggerSetting, "path", p.trigger, "error", err)
		p.trigger = ""
		return p.pullBySignal()
	}
	return p.signal(syscall.SIGHUP)
}

// pullBySignal does as pg_ctl promote does.
func (p *promotion) pullBySignal() error {
	if p.version.promoteFile == "" {
		return fmt.Errorf("PostgreSQL %s promotes by %s alone, and it is not usable here: set it in recovery.conf: %w",
			p.version.name, p.version.triggerSetting, sidecar.ErrNotPossible)
	}
	p.bySignal = true
	if err := p.writeFile(p.promoteFile(), nil, 0o600); err != nil {
		return err
	}
	return p.signal(syscall.SIGUSR1)
}

func (p *promotion) promoteFile() string {
	return filepath.Join(p.config.DataDir, p.version.promoteFile)
}

// wake repeats the request: by the configured trigger as long as that is heeded, and else by signal. A wake also cuts short
// the sleeps, of up to a second, of a replay that has waited for a session.
func (p *promotion) wake() error {
	if p.bySignal {
		return p.signal(syscall.SIGUSR1)
	}
	if exists(p.trigger) && p.version.promoteFile != "" {
		return p.pullBySignal()
	}
	return p.signal(syscall.SIGHUP)
}
