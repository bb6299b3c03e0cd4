// SPDX-License-Identifier: GPL-2.0-only

// How Go's net/http reads a batch of inputs: requests as its server hands them to a handler, answers as its client does.
// The same words as ours.c; judges nothing.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	isResponse = 1
	isHead     = 2
)

func word(s string) string {
	if s == "" {
		return "-"
	}
	return hex.EncodeToString([]byte(s))
}

func fields(h http.Header) string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	sort.Strings(names)
	var all []string
	for _, name := range names {
		for _, value := range h[name] {
			all = append(all, word(name)+"="+word(value))
		}
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ",")
}

func framing(codings []string) string {
	if len(codings) > 0 {
		return strings.Join(codings, "+")
	}
	return "plain"
}

// input is a connection whose other side has sent everything and reads nothing.
type input struct {
	*bytes.Reader
	once sync.Once
	over chan struct{}
}

func (c *input) Write(p []byte) (int, error) { return len(p), nil }
func (c *input) Close() error {
	c.once.Do(func() { close(c.over) })
	return nil
}
func (c *input) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *input) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *input) SetDeadline(time.Time) error      { return nil }
func (c *input) SetReadDeadline(time.Time) error  { return nil }
func (c *input) SetWriteDeadline(time.Time) error { return nil }

type listener struct{ connections chan net.Conn }

func (l *listener) Accept() (net.Conn, error) {
	c, ok := <-l.connections
	if !ok {
		return nil, io.EOF
	}
	return c, nil
}
func (l *listener) Close() error   { return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// server holds what the handler has seen of the one connection that is alive.
type server struct {
	l    *listener
	seen []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // incomplete or refused: not seen
	}
	s.seen = append(s.seen, fmt.Sprintf("%s %s %s %d %s %s %s %s -", word(r.Method), word(r.RequestURI), word(r.Host),
		r.ProtoMinor, framing(r.TransferEncoding), word(string(body)), fields(r.Header), fields(r.Trailer)))
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) read(data []byte) string {
	c := &input{Reader: bytes.NewReader(data), over: make(chan struct{})}
	s.seen = nil
	s.l.connections <- c
	<-c.over
	return strings.Join(s.seen, "\t")
}

func readAnswers(data []byte, method string) string {
	var seen []string
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		a, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			break
		}
		body, err := io.ReadAll(a.Body)
		if err != nil {
			break
		}
		seen = append(seen, fmt.Sprintf("=%d - - %d %s %s %s %s -", a.StatusCode, a.ProtoMinor, framing(a.TransferEncoding),
			word(string(body)), fields(a.Header), fields(a.Trailer)))
		if a.StatusCode >= 200 {
			break
		}
	}
	return strings.Join(seen, "\t")
}

func main() {
	s := &server{l: &listener{connections: make(chan net.Conn)}}
	quiet := log.New(io.Discard, "", 0)
	go (&http.Server{Handler: s, ErrorLog: quiet, DisableGeneralOptionsHandler: true}).Serve(s.l)
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	var head [2]uint32
	for binary.Read(in, binary.LittleEndian, &head) == nil {
		data := make([]byte, head[1])
		if _, err := io.ReadFull(in, data); err != nil {
			log.Fatal(err)
		}
		switch {
		case head[0]&isResponse == 0:
			fmt.Fprintln(out, s.read(data))
		case head[0]&isHead != 0:
			fmt.Fprintln(out, readAnswers(data, "HEAD"))
		default:
			fmt.Fprintln(out, readAnswers(data, "GET"))
		}
	}
	out.Flush()
}
