package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/cmd/pgvigil/config"
	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/sidecar"
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
			}, func(c *cli.Context, o *operator) error {
				if c.NArg() == 0 {
					return fail(exitUsage, errors.New("nothing to set: give KEY=VALUE, such as durability=quorum; pgvigil config show lists the keys"))
				}
				cluster, err := o.readPolicy(c.Context)
				if err != nil {
					return err
				}
				return setPolicy(c.Context, o.out, o.store, cluster, c.Args().Slice())
			}),
		},
	}
}

// applier makes changes in etcd.
type applier interface {
	Apply(ctx context.Context, change watchdog.Change) (int64, error)
}

// readPolicy reads a cluster that has a policy.
func (o *operator) readPolicy(ctx context.Context) (watchdog.Cluster, error) {
	cluster, err := o.readRecord(ctx)
	if err == nil && cluster.Policy == nil {
		err = fail(exitRefused, fmt.Errorf("the policy of cluster %s cannot be read: %s", o.cfg.Cluster, cluster.GarbageList()))
	}
	return cluster, err
}

// policyKeys are the policy as keys, in the order of its fields, and values.
func policyKeys(p watchdog.Policy) (order []string, values map[string]any, err error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(data, &values); err != nil {
		return nil, nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return order, values, nil
		}
		if err != nil {
			return nil, nil, err
		}
		key, is := token.(string)
		if _, named := values[key]; is && named && !slices.Contains(order, key) {
			order = append(order, key)
		}
	}
}

func showPolicy(w io.Writer, p watchdog.Policy, form form) error {
	order, values, err := policyKeys(p)
	if err != nil {
		return err
	}
	return form.show(w, p, func() string {
		var b strings.Builder
		for _, key := range order {
			fmt.Fprintf(&b, "%-17s %s\n", key, plain(values[key]))
		}
		return b.String()
	})
}

func plain(value any) string {
	if number, is := value.(float64); is && number == float64(int64(number)) {
		return fmt.Sprint(int64(number))
	}
	return fmt.Sprint(value)
}

// setPolicy changes keys, shows what changes, and writes it if nobody else has written meanwhile.
func setPolicy(ctx context.Context, w io.Writer, store applier, cluster watchdog.Cluster, assignments []string) error {
	next, changed, err := assign(*cluster.Policy, assignments)
	if err != nil {
		return fail(exitUsage, err)
	}
	if len(changed) == 0 {
		fmt.Fprintln(w, "nothing changes: the policy says so already")
		return nil
	}
	change, err := watchdog.PolicyChange(cluster, next, "policy: "+strings.Join(changed, ", "))
	if err != nil {
		return fail(exitRefused, err)
	}
	stamp(&change)
	switch _, err = store.Apply(ctx, change); {
	case errors.Is(err, sidecar.ErrCompareLost):
		return fail(exitRefused, errors.New("the cluster changed meanwhile, and nothing was written: try again"))
	case err != nil:
		return fail(exitEtcd, fmt.Errorf("write the policy: %w: see with pgvigil config show whether it was written", err))
	}
	fmt.Fprintln(w, strings.Join(changed, "\n"))
	return nil
}

// assign puts KEY=VALUEs into a policy, and says what changed.
func assign(p watchdog.Policy, assignments []string) (next watchdog.Policy, changed []string, err error) {
	order, values, err := policyKeys(p)
	if err != nil {
		return next, nil, err
	}
	before := maps.Clone(values)
	for _, assignment := range assignments {
		key, text, found := strings.Cut(assignment, "=")
		if !found {
			return next, nil, fmt.Errorf("%q is no KEY=VALUE", assignment)
		}
		old, known := values[key]
		if !known {
			return next, nil, fmt.Errorf("there is no policy key %q%s: pgvigil config show lists them", key, config.DidYouMean(key, order))
		}
		if values[key], err = like(old, text); err != nil {
			return next, nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	data, err := json.Marshal(values)
	if err != nil {
		return next, nil, err
	}
	if next, err = watchdog.DecodePolicy(data); err != nil {
		return next, nil, err
	}
	for _, key := range order {
		if was, is := plain(before[key]), plain(values[key]); was != is {
			changed = append(changed, fmt.Sprintf("%s %s → %s", key, was, is))
		}
	}
	return next, changed, nil
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
