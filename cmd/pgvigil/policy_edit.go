package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
)

// editPolicy has the policy edited until it is valid, and writes what changes.
func editPolicy(c *cli.Context, o *operator) error {
	cluster, err := o.readPolicy(c.Context)
	if err != nil {
		return err
	}
	text, err := policyDraft(o.cfg.Cluster, *cluster.Policy)
	if err != nil {
		return err
	}
	for {
		if text, err = edited(c.Context, text); err != nil {
			return err
		}
		next, err := config.EditPolicy(*cluster.Policy, "policy", text)
		if err == nil {
			return o.changePolicy(c.Context, cluster, next, c.Bool("yes"))
		}
		fmt.Fprintln(o.out, err)
		if o.confirm("Edit it again?", false) != nil {
			return fail(exitUsage, errors.New("nothing was written: the policy was not valid, as said above"))
		}
	}
}

// policyDraft is the policy as the editor shows it.
func policyDraft(cluster string, p watchdog.Policy) ([]byte, error) {
	data, err := toYAML(p)
	head := fmt.Sprintf("# The policy of cluster %s. Save and leave to change it; leave it as it is to change nothing.\n"+
		"# A line that is taken out stays as it was. ttl, fence_deadline, fence_time and clock_error cannot be changed.\n", cluster)
	return append([]byte(head), data...), err
}

// edited runs the person's editor on the text.
func edited(ctx context.Context, text []byte) ([]byte, error) {
	f, err := os.CreateTemp("", "pgvigil-policy-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("edit the policy: %w", err)
	}
	defer os.Remove(f.Name())
	_, failed := f.Write(text)
	if err := errors.Join(failed, f.Close()); err != nil {
		return nil, fmt.Errorf("edit the policy: %w", err)
	}
	words := strings.Fields(editor()) // as others have it: EDITOR may hold arguments, and no shell looks at it
	command := exec.CommandContext(ctx, words[0], append(words[1:], f.Name())...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("edit the policy with %s: %w: nothing was written; name another editor in EDITOR", words[0], err)
	}
	return os.ReadFile(f.Name())
}

func editor() string {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if text := strings.TrimSpace(os.Getenv(name)); text != "" {
			return text
		}
	}
	return "vi"
}
