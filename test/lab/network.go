package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// network gives each node a network namespace of its own, as a host has, joined by a bridge. Nothing of it leads off the
// machine.
type network struct {
	bridge string // its name begins those of all that belongs to it
	subnet string // the first three numbers of its addresses
}

// ErrNoNamespaces: network namespaces are not allowed here, so that a host cannot be cut off.
var ErrNoNamespaces = errors.New("network namespaces are not allowed here")

// NamespacesAllowed makes one and removes it, the first time that it is asked.
func NamespacesAllowed() error { return namespacesAllowed() }

var namespacesAllowed = sync.OnceValue(func() error {
	name := fmt.Sprintf("pgv%dtry", os.Getpid())
	if err := ip("netns", "add", name); err != nil {
		return fmt.Errorf("%w: %w", ErrNoNamespaces, err)
	}
	return ip("netns", "del", name)
})

// building is held by the lab that chooses its subnet, until it is seen to be taken.
var building sync.Mutex

// buildNetwork makes the bridge and a namespace for each node.
func (c *Cluster) buildNetwork() error {
	if err := NamespacesAllowed(); err != nil {
		return err
	}
	n := &network{bridge: "pgv" + strings.TrimPrefix(filepath.Base(c.Dir), "pgvigil-")}
	n.bridge = n.bridge[:min(len(n.bridge), 10)]
	building.Lock()
	defer building.Unlock()
	var err error
	if n.subnet, err = freeSubnet(); err != nil {
		return err
	}
	c.network = n
	steps := [][]string{
		{"link", "add", n.bridge, "type", "bridge"}, {"addr", "add", n.subnet + ".254/24", "dev", n.bridge}, {"link", "set", n.bridge, "up"},
	}
	for i, node := range c.Nodes {
		node.host = fmt.Sprintf("%s.%d", n.subnet, i+1)
		node.Port = c.Nodes[0].Port // as servers have it that share an address
		ns, line := n.namespace(node), n.line(node)
		steps = append(steps, []string{"netns", "add", ns},
			[]string{"link", "add", line, "type", "veth", "peer", "name", "eth0", "netns", ns},
			[]string{"link", "set", line, "master", n.bridge}, []string{"link", "set", line, "up"},
			[]string{"-n", ns, "addr", "add", node.host + "/24", "dev", "eth0"},
			[]string{"-n", ns, "link", "set", "eth0", "up"}, []string{"-n", ns, "link", "set", "lo", "up"})
	}
	for _, step := range steps {
		if err := ip(step...); err != nil {
			return fmt.Errorf("build the lab's network: %w", err)
		}
	}
	return nil
}

// freeSubnet is one that no interface of this machine is in.
func freeSubnet() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for third := range 256 {
		subnet := fmt.Sprintf("10.203.%d", third)
		taken := false
		for _, a := range addresses {
			taken = taken || strings.HasPrefix(a.String(), subnet+".")
		}
		if !taken {
			return subnet, nil
		}
	}
	return "", errors.New("no free subnet in 10.203.0.0/16")
}

// close removes all of it.
func (n *network) close(nodes []*Node) {
	for _, node := range nodes {
		_ = ip("link", "del", n.line(node))
		_ = ip("netns", "del", n.namespace(node))
	}
	_ = ip("link", "del", n.bridge)
}

func (n *network) namespace(node *Node) string { return n.bridge + node.Name }

func (n *network) line(node *Node) string { return fmt.Sprintf("%s.%d", n.bridge, node.index()+1) }

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// SpareAddress is one of the lab's network that no host has.
func (c *Cluster) SpareAddress() string { return c.network.subnet + ".100" }

// HasAddress says whether the address is on the node's host.
func (n *Node) HasAddress(address string) bool {
	out, err := exec.Command("ip", "-n", n.network.namespace(n), "-o", "addr", "show").Output()
	return err == nil && strings.Contains(string(out), " "+address+"/")
}

// Assign puts an address on the node's host by hand.
func (n *Node) Assign(address string) error {
	return ip("-n", n.network.namespace(n), "addr", "add", address, "dev", "eth0")
}

// CutOff takes the node's host off the network.
func (n *Node) CutOff() error { return n.link("down") }

// Join puts it back.
func (n *Node) Join() error { return n.link("up") }

func (n *Node) link(state string) error {
	if n.network == nil {
		return fmt.Errorf("%w: the lab has no network of its own", errMissed)
	}
	return ip("link", "set", n.network.line(n), state)
}

// inside starts processes in the node's namespace: a child has that of the thread that made it.
func (n *Node) inside(start func() error) error {
	if n.network == nil {
		return start()
	}
	there, err := os.Open("/run/netns/" + n.network.namespace(n))
	if err != nil {
		return err
	}
	defer there.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked where the way back fails: the thread ends with the goroutine
		back, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer back.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the namespace of %s: %w", n.Name, err)
			return
		}
		err = start()
		if unix.Setns(int(back.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
