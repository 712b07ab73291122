package deploy

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const dir = "../../deploy/prometheus"

// Prometheus's own tool reads the rules and tries them, and Alertmanager's its configuration.
func TestPrometheusAndAlertmanagerTakeTheirFiles(t *testing.T) {
	for _, args := range [][]string{
		{"promtool", "check", "rules", "pgvigil.rules.yml"},
		{"promtool", "test", "rules", "pgvigil.rules_test.yml"},
		{"amtool", "check-config", "alertmanager.yml"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			program, err := exec.LookPath(args[0])
			if err != nil {
				t.Skipf("%s is missing: apt-get install prometheus prometheus-alertmanager", args[0])
			}
			run := exec.Command(program, args[1:]...)
			run.Dir = dir
			if said, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// Every metric that the rules name is one that the sidecar has.
func TestRulesNameMetricsThatThereAre(t *testing.T) {
	rules, err := os.ReadFile(dir + "/pgvigil.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for file, prefix := range map[string]string{"../../watchdog/api/metrics.go": "pgvigil_", "../../watchdog/alert/metrics.go": "pgvigil_alerts_"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`= (?:gauge|describe)\("([a-z_]+)"`).FindAllSubmatch(source, -1) {
			there[prefix+string(name[1])] = true
		}
	}
	named := regexp.MustCompile(`(?m)[^:a-z_](pgvigil_[a-z_]+)`).FindAllSubmatch(rules, -1)
	if len(named) < 15 || len(there) < 30 {
		t.Fatalf("%d names in the rules, %d metrics", len(named), len(there))
	}
	for _, name := range named {
		if !there[string(name[1])] {
			t.Errorf("there is no metric %s", name[1])
		}
	}
}
