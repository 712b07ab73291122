package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/pgvigil/pgvigil/watchdog"
)

func membersCommand() *cli.Command {
	return operatorCommand(&cli.Command{
		Name:  "members",
		Usage: "list the members: where each is reached, what it runs, and how it is configured",
	}, func(c *cli.Context, o *operator) error {
		cluster, err := o.read(c.Context)
		if err != nil {
			return err
		}
		r := buildReport(o.cfg.Cluster, cluster, o.lives(c.Context, cluster))
		rows := listMembers(r, cluster)
		return o.form.show(o.out, rows, func() string { return memberList(rows) })
	})
}

// listedMember is one line of the list. Its JSON is stable.
type listedMember struct {
	Name       string        `json:"name"`
	Address    string        `json:"address,omitempty"`
	API        string        `json:"api,omitempty"`
	Role       watchdog.Role `json:"role"`
	Version    string        `json:"version,omitempty"`    // of pgvigil
	PostgreSQL string        `json:"postgresql,omitempty"` // as people write it
	Priority   int           `json:"priority"`
	Site       string        `json:"site,omitempty"`
	Tags       []string      `json:"tags"`
	Admitted   bool          `json:"admitted"` // the primary has confirmed it: it may vote and win
	Registered bool          `json:"registered"`
	Answers    bool          `json:"answers"`
}

func listMembers(r report, c watchdog.Cluster) []listedMember {
	rows := []listedMember{}
	for _, row := range r.Members {
		m := c.Members[row.Name]
		listed := listedMember{
			Name: row.Name, Address: row.Address, API: row.API, Role: row.Role, Version: row.Version,
			PostgreSQL: serverVersion(row.ServerVersion), Priority: m.Priority, Site: m.Site, Tags: []string{},
			Admitted: row.Confirmed, Registered: row.Registered, Answers: row.Live,
		}
		for _, tag := range []struct {
			is   bool
			name string
		}{{m.Witness, "witness"}, {m.HasVeto(watchdog.VetoNoFailover), string(watchdog.VetoNoFailover)}} {
			if tag.is {
				listed.Tags = append(listed.Tags, tag.name)
			}
		}
		rows = append(rows, listed)
	}
	return rows
}

func memberList(rows []listedMember) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tROLE\tADDRESS\tAPI\tPOSTGRESQL\tPGVIGIL\tPRIORITY\tSITE\tTAGS\tADMITTED\tSIDECAR")
	for _, m := range rows {
		admitted := "yes"
		if !m.Admitted {
			admitted = "not yet"
		}
		sidecar := "answers"
		switch {
		case !m.Registered && !m.Answers:
			sidecar = "gone"
		case !m.Answers:
			sidecar = "does not answer"
		}
		role := string(m.Role)
		if slices.Contains(m.Tags, "witness") {
			role = "witness"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", m.Name, role, orDash(m.Address), orDash(m.API), orDash(m.PostgreSQL),
			orDash(m.Version), m.Priority, orDash(m.Site), orDash(strings.Join(m.Tags, ",")), admitted, sidecar)
	}
	w.Flush()
	return trimLines(b.String())
}

// serverVersion writes server_version_num as people do: 150014 is 15.14.
func serverVersion(number int) string {
	if number < 100000 {
		return ""
	}
	return strconv.Itoa(number/10000) + "." + strconv.Itoa(number%10000)
}
