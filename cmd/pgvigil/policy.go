package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "show or change the policy that all members share",
		Subcommands: []*cli.Command{
			operatorCommand(&cli.Command{Name: "show", Usage: "show the policy in force"}, func(c *cli.Context, o *operator) error {
				cluster, err := o.readPolicy(c.Context)
				if err != nil {
					return err
				}
				return showPolicy(o.out, *cluster.Policy, o.form)
			}),
			operatorCommand(&cli.Command{
				Name: "set", Usage: "change it on the running cluster", ArgsUsage: "KEY=VALUE ...",
				Description: "For example: pgvigil config set durability=quorum k=1\nThe members take it over as soon as they have read it.",
			}, setPolicy),
			operatorCommand(&cli.Command{
				Name: "edit", Usage: "change it in an editor ($VISUAL, $EDITOR, else vi)", Flags: []cli.Flag{yesFlag()},
				Description: "What changes is shown, and asked about, before it is written. It is not written if another has changed it meanwhile.",
			}, editPolicy),
			operatorCommand(&cli.Command{
				Name: "history", Usage: "list who changed what, and when", Flags: []cli.Flag{numberFlag(0, "all that are kept")},
			}, func(c *cli.Context, o *operator) error { return policyFeed(o).run(c, o) }),
		},
	}
}

// readPolicy reads a cluster that has a policy.
func (o *operator) readPolicy(ctx context.Context) (watchdog.Cluster, error) {
	cluster, err := o.readRecord(ctx)
	if err == nil && cluster.Policy == nil {
		err = fail(exitRefused, fmt.Errorf("the policy of cluster %s cannot be read: %s", o.cfg.Cluster, cluster.GarbageList()))
	}
	return cluster, err
}

func showPolicy(w io.Writer, p watchdog.Policy, form form) error {
	order, values, err := watchdog.PolicyValues(p)
	if err != nil {
		return err
	}
	return form.show(w, p, func() string {
		var b strings.Builder
		for _, key := range order {
			fmt.Fprintf(&b, "%-17s %s\n", key, watchdog.PolicyText(values[key]))
		}
		return b.String()
	})
}

func setPolicy(c *cli.Context, o *operator) error {
	if c.NArg() == 0 {
		return fail(exitUsage, errors.New("nothing to set: give KEY=VALUE, such as durability=quorum; pgvigil config show lists the keys"))
	}
	cluster, err := o.readPolicy(c.Context)
	if err != nil {
		return err
	}
	next, err := assign(*cluster.Policy, c.Args().Slice())
	if err != nil {
		return fail(exitUsage, err)
	}
	return o.changePolicy(c.Context, cluster, next, true)
}

// policyChange is what is printed of a change. Its JSON is stable.
type policyChange struct {
	Changes []watchdog.Difference `json:"changes"`
	Written bool                  `json:"written"`
}

// changePolicy shows what changes and, if the person is sure, writes it, unless another has changed it since cluster was read.
func (o *operator) changePolicy(ctx context.Context, cluster watchdog.Cluster, next watchdog.Policy, sure bool) error {
	differences, err := watchdog.PolicyDiff(*cluster.Policy, next)
	if err != nil {
		return err
	}
	if len(differences) == 0 {
		return o.form.show(o.out, policyChange{Changes: []watchdog.Difference{}}, func() string { return "nothing changes: the policy says so already\n" })
	}
	if o.form == asTable {
		for _, d := range differences {
			fmt.Fprintln(o.out, d)
		}
	}
	if err := o.confirm(fmt.Sprintf("Write this to the policy of %s?", o.cfg.Cluster), sure); err != nil {
		return err
	}
	_, values, err := watchdog.PolicyValues(next)
	if err != nil {
		return err
	}
	set := map[string]any{}
	for _, d := range differences {
		set[d.Key] = values[d.Key]
	}
	data, err := json.Marshal(set)
	if err != nil {
		return err
	}
	if _, err := o.request(ctx, watchdog.Request{Policy: &watchdog.PolicyRequest{Set: data, Revision: cluster.PolicyRev}}); err != nil {
		return err
	}
	return o.form.show(o.out, policyChange{differences, true}, func() string { return "written\n" })
}

// assign puts KEY=VALUEs into a policy.
func assign(p watchdog.Policy, assignments []string) (next watchdog.Policy, err error) {
	order, values, err := watchdog.PolicyValues(p)
	if err != nil {
		return next, err
	}
	for _, assignment := range assignments {
		key, text, found := strings.Cut(assignment, "=")
		if !found {
			return next, fmt.Errorf("%q is no KEY=VALUE", assignment)
		}
		old, known := values[key]
		if !known {
			return next, fmt.Errorf("there is no policy key %q%s: pgvigil config show lists them", key, config.DidYouMean(key, order))
		}
		if values[key], err = like(old, text); err != nil {
			return next, fmt.Errorf("%s: %w", key, err)
		}
	}
	data, err := json.Marshal(values)
	if err != nil {
		return next, err
	}
	return watchdog.DecodePolicy(data)
}

// like reads a value of the same type as the old one.
func like(old any, text string) (any, error) {
	switch old.(type) {
	case bool:
		switch text {
		case "true", "on", "yes":
			return true, nil
		case "false", "off", "no":
			return false, nil
		}
		return nil, fmt.Errorf("%q: give true or false", text)
	case float64:
		var number float64
		if err := json.Unmarshal([]byte(text), &number); err != nil {
			return nil, fmt.Errorf("%q: give a number", text)
		}
		return number, nil
	}
	return text, nil
}

// changedPolicy is one line of the history of the policy. Its JSON is stable.
type changedPolicy struct {
	Time    time.Time         `json:"time"`
	By      string            `json:"by"`
	Changes map[string]string `json:"changes"` // key → "was → is"
	Message string            `json:"message"`
}

// policyFeed prints the changes of the policy.
func policyFeed(o *operator) *feed {
	return &feed{
		source: o.store, out: o.out, form: o.form,
		wanted: func(e watchdog.Event) bool { return e.Kind == watchdog.EventPolicy },
		value: func(e watchdog.Event) any {
			if e.Facts == nil {
				e.Facts = map[string]string{}
			}
			return changedPolicy{e.Time, e.Member, e.Facts, e.Message}
		},
		text: func(e watchdog.Event) string { return policyLine(e, time.Local) },
	}
}

func policyLine(e watchdog.Event, zone *time.Location) string {
	return fmt.Sprintf("%s  %-20s  %s\n", e.Time.In(zone).Format(time.DateTime), e.Member, strings.TrimPrefix(e.Message, "policy: "))
}
