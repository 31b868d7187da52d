package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// StoragePython is the interpreter of an environment with Prefect 2.20, its
// storage blocks and what they need for Azure and S3.
func StoragePython(t testing.TB) string {
	t.Helper()
	return installed(t, "a Python environment with Prefect's storage blocks", "ORION_TEST_STORAGE_PYTHON", "storage-python/bin/python")
}

// The account of every Azurite, and its key, which its documentation publishes.
const (
	AzuriteAccount = "devstoreaccount1"
	AzuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Azurite is a real Azurite, started once per test process: its address with
// the account in it, such as http://127.0.0.1:10000/devstoreaccount1.
func Azurite(t testing.TB) string {
	t.Helper()
	program := installed(t, "Azurite", "ORION_TEST_AZURITE", "azurite/node_modules/.bin/azurite-blob")
	address, err := azurite.get(func() (string, error) { return startAzurite(program) })
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// AzuriteTLS is one that is spoken to by https and takes tokens, too. Its
// certificate is that of [LocalCertificate].
func AzuriteTLS(t testing.TB) string {
	t.Helper()
	program := installed(t, "Azurite", "ORION_TEST_AZURITE", "azurite/node_modules/.bin/azurite-blob")
	certificate := LocalCertificate(t)
	address, err := azuriteTLS.get(func() (string, error) {
		return startAzurite(program, "--oauth", "basic", "--cert", certificate.CertFile, "--key", certificate.KeyFile)
	})
	if err != nil {
		t.Fatal(err)
	}
	return address
}

var azurite, azuriteTLS shared[string]

func startAzurite(program string, args ...string) (string, error) {
	scheme := "http"
	if len(args) > 0 {
		scheme = "https"
	}
	return startStorage(scheme, func(port int, _ string) *exec.Cmd {
		return exec.Command(program, append([]string{"--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence",
			"--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(port)}, args...)...)
	}, "/"+AzuriteAccount)
}

// The keys that [S3Server] accepts.
const (
	S3AccessKey = "orion-test"
	S3SecretKey = "orion-test-secret"
)

// S3Server is the address of a real S3 server (versitygw), started once per test
// process, and the folder in which each folder is a bucket.
func S3Server(t testing.TB) (address, root string) {
	t.Helper()
	program := installed(t, "an S3 server", "ORION_TEST_S3_SERVER", "s3/versitygw")
	address, err := s3Server.get(func() (string, error) {
		return startStorage("http", func(port int, dir string) *exec.Cmd {
			s3Root = filepath.Join(dir, "root")
			_ = os.Mkdir(s3Root, 0o755) // the server says so if it is not there
			cmd := exec.Command(program, "--port", "127.0.0.1:"+strconv.Itoa(port), "posix", s3Root)
			cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+S3AccessKey, "ROOT_SECRET_KEY="+S3SecretKey)
			return cmd
		}, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	return address, s3Root
}

var (
	s3Server shared[string]
	s3Root   string // set once s3Server is
)

// GoogleStorage is the address of an emulator of Google Cloud Storage (a double
// that others wrote, not the real thing), started once per test process. It
// serves one connection at a time, so each request gets one of its own.
func GoogleStorage(t testing.TB) string {
	t.Helper()
	python := StoragePython(t)
	address, err := googleStorage.get(func() (string, error) {
		return startStorage("http", func(port int, _ string) *exec.Cmd {
			return exec.Command(filepath.Join(filepath.Dir(python), "gcp-storage-emulator"), "start", "--host=127.0.0.1", "--port="+strconv.Itoa(port), "--in-memory")
		}, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	proxy.ErrorLog = log.New(io.Discard, "", 0) // clients that leave early are part of the tests
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

var googleStorage shared[string]

// startStorage runs a server in a folder of its own and waits until it listens.
func startStorage(scheme string, command func(port int, dir string) *exec.Cmd, path string) (string, error) {
	dir, err := os.MkdirTemp("", "orion-test-storage-")
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close() // only to learn a free port
	cmd := command(port, dir)
	cmd.Dir = dir
	p, err := start(cmd, syscall.SIGTERM, dir)
	if err != nil {
		return "", err
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	for deadline := time.Now().Add(2 * time.Minute); ; {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close() // it was only to see whether it listens
			return scheme + "://" + address + path, nil
		}
		select {
		case <-p.exited:
			return "", fmt.Errorf("%s ended: %w\n%s", cmd.Path, p.err, tail(p.log.String()))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = p.stop(syscall.SIGTERM, time.Second) // the time-out is the error to tell
			return "", fmt.Errorf("%s does not listen\n%s", cmd.Path, tail(p.log.String()))
		}
	}
}

// Certificate is one for 127.0.0.1, signed by itself.
type Certificate struct{ CertFile, KeyFile string }

// TrustLocalCertificate makes [LocalCertificate] trusted in this process and in
// what it starts. It is for TestMain: Go looks for what to trust only once.
func TrustLocalCertificate() error {
	c, err := localCertificate.get(newCertificate)
	if err != nil {
		return err
	}
	for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"} {
		if err := os.Setenv(name, c.CertFile); err != nil {
			return err
		}
	}
	return nil
}

// LocalCertificate is the certificate of what is served by https in a test.
func LocalCertificate(t testing.TB) Certificate {
	t.Helper()
	c, err := localCertificate.get(newCertificate)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("SSL_CERT_FILE") != c.CertFile {
		t.Fatal("call testenv.TrustLocalCertificate in TestMain")
	}
	return c
}

var localCertificate shared[Certificate]

func newCertificate() (Certificate, error) {
	dir, err := removedAtExit("orion-test-certificate-")
	if err != nil {
		return Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return Certificate{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	c := Certificate{CertFile: filepath.Join(dir, "tls.pem"), KeyFile: filepath.Join(dir, "tls.key")}
	return c, errors.Join(
		os.WriteFile(c.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o644),
		os.WriteFile(c.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

// GitServer serves the bare repositories in a folder by git's own HTTP protocol
// to who has the name and password; without a name, to everybody.
func GitServer(t testing.TB, root, user, password string) string {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		Absent(t, "git", "install it")
	}
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"}, Logger: nil}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); user != "" && (!ok || u != user || p != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler := *backend
		handler.Env = append(handler.Env[:len(handler.Env):len(handler.Env)], "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// FaultProxy stands between a client and a server and cuts connections when it
// is told to.
type FaultProxy struct {
	Address string // 127.0.0.1:PORT

	target   string
	listener net.Listener
	mu       sync.Mutex // guards left, cuts and open
	left     int64
	cuts     int
	open     map[net.Conn]bool
}

// NewFaultProxy listens for connections to a target HOST:PORT.
func NewFaultProxy(t testing.TB, target string) *FaultProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &FaultProxy{Address: l.Addr().String(), target: target, listener: l, left: -1, open: map[net.Conn]bool{}}
	go p.serve()
	t.Cleanup(func() {
		_ = l.Close() // the end of the test
		p.cutAll()
	})
	return p
}

// CutAfter lets so many more bytes pass from clients to the server, then cuts
// all connections and lets none through, until it is called again. Negative
// lets everything pass.
func (p *FaultProxy) CutAfter(bytes int64) {
	p.mu.Lock()
	p.left = bytes
	p.mu.Unlock()
	p.cutAll() // idle connections would carry old counts
}

// Cuts is how often it has cut.
func (p *FaultProxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *FaultProxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refused := p.left == 0
		p.mu.Unlock()
		server, err := net.Dial("tcp", p.target)
		if err != nil || refused {
			p.cut(client)
			if err == nil {
				_ = server.Close() // it was not needed
			}
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		p.mu.Unlock()
		go func() {
			p.forward(server, client)
			p.cut(client)
			p.cut(server)
		}()
		go func() {
			_, _ = io.Copy(client, server) // ends when either side does
			p.cut(client)
			p.cut(server)
		}()
	}
}

// forward carries bytes to the server as long as there are some left.
func (p *FaultProxy) forward(server, client net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := client.Read(buffer)
		p.mu.Lock()
		allowed := n
		if p.left >= 0 {
			allowed = int(min(int64(n), p.left))
			p.left -= int64(allowed)
		}
		isOver := p.left == 0 && n > 0
		if isOver {
			p.cuts++
		}
		p.mu.Unlock()
		if _, werr := server.Write(buffer[:allowed]); err != nil || werr != nil {
			return
		}
		if isOver {
			p.cutAll()
			return
		}
	}
}

// cut ends a connection as a broken line does: with a reset.
func (p *FaultProxy) cut(c net.Conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the connection may be gone already
	}
	_ = c.Close() // it may be gone already
}

func (p *FaultProxy) cutAll() {
	p.mu.Lock()
	var open []net.Conn
	for c := range p.open {
		open = append(open, c)
	}
	p.mu.Unlock()
	for _, c := range open {
		p.cut(c)
	}
}
