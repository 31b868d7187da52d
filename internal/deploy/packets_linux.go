package deploy

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// packets is a connection to a child process that keeps messages apart and can
// carry an open file along with one.
type packets struct {
	conn   *net.UnixConn
	buffer []byte
}

// newPackets returns our end, and the file to start the child with.
func newPackets() (*packets, *os.File, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "ours"), os.NewFile(uintptr(ends[1]), "theirs")
	conn, err := net.FileConn(ours)
	ours.Close() // conn has a copy of it
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return &packets{conn: conn.(*net.UnixConn), buffer: make([]byte, 64<<10)}, theirs, nil
}

// tidiesUp has a command asked, not forced, to end when this program dies: it
// has children to end first.
func tidiesUp(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}

func (p *packets) send(message any, attached *os.File) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	var rights []byte
	if attached != nil {
		fd := int(attached.Fd())
		// The receiver shares our file's modes, and programs expect to block.
		if err := unix.SetNonblock(fd, false); err != nil {
			return err
		}
		rights = unix.UnixRights(fd)
	}
	_, _, err = p.conn.WriteMsgUnix(text, rights, nil)
	return err
}

// receive returns the next message, valid until the next call.
func (p *packets) receive() ([]byte, error) {
	n, err := p.conn.Read(p.buffer)
	return p.buffer[:n], err
}

func (p *packets) Close() error { return p.conn.Close() }
