package lab

import "fmt"

// KillHost ends all that runs on the node's host, as when it loses power: its member of etcd, sidecar, server and guard.
func (n *Node) KillHost() error {
	if len(n.everything()) == 0 {
		return fmt.Errorf("%w: nothing of %s runs", errMissed, n.Name)
	}
	if i := n.index(); i < len(n.Etcd) {
		if err := n.Etcd[i].Kill(); err != nil {
			return err
		}
	}
	n.killAll()
	<-n.sidecar.exited
	return nil
}

// StartHost starts the member of etcd and the sidecar again, which starts the server.
func (n *Node) StartHost() error {
	if i := n.index(); i < len(n.Etcd) {
		if err := n.StartEtcd(i); err != nil {
			return err
		}
	}
	return n.StartSidecar()
}
