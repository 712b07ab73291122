package patrol

import (
	"fmt"
	"strings"

	"github.com/pgvigil/pgvigil/watchdog"
	"github.com/pgvigil/pgvigil/watchdog/check"
)

// eventOf tells of what is new, and of what is no longer so. Its facts have each finding by name, with what is found and the
// worst severity of what is new.
func eventOf(fresh, over []check.Finding) watchdog.Event {
	e := watchdog.Event{Kind: watchdog.EventFinding, Reason: watchdog.ReasonFound, Facts: map[string]string{}}
	var parts []string
	for _, f := range fresh {
		parts = append(parts, f.What)
		e.Facts[key("found", f)] = f.What
	}
	if len(fresh) == 0 {
		e.Reason = watchdog.ReasonMended
	} else {
		e.Facts["severity"] = string(check.Worst(fresh))
	}
	for _, f := range over {
		e.Facts[key("over", f)] = f.What
		if len(fresh) == 0 {
			parts = append(parts, "no longer so: "+f.What)
		}
	}
	const most = 2
	if n := len(parts); n > most {
		parts = append(parts[:most], fmt.Sprintf("and %d more: pgvigil check tells", n-most))
	}
	e.Message = strings.Join(parts, "; ")
	return e
}

func key(what string, f check.Finding) string {
	name := what + " " + f.Name
	if f.About != "" {
		name += " " + f.About
	}
	return name
}
