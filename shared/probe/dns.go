package probe

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// DNSConfig is a check by one query.
type DNSConfig struct {
	Name      string   `yaml:"name" required:"true" doc:"Name to ask for."`
	QType     string   `yaml:"qtype" default:"A" doc:"Type of record to ask for, e.g. A, AAAA, SOA."`
	RCode     []string `yaml:"rcode" doc:"Response codes that are well, e.g. NOERROR, NXDOMAIN. Default: NOERROR."`
	Protocol  string   `yaml:"protocol" default:"udp" enum:"udp|tcp|tls" doc:"Transport of the query."`
	Contains  string   `yaml:"contains" doc:"Text that one record of the answer section must contain, in presentation format."`
	Answers   int      `yaml:"answers" default:"0" min:"0" max:"1000" doc:"Fewest records of the answer section."`
	Recursion bool     `yaml:"recursion" default:"false" doc:"Ask for recursion (RD)."`
}

// Validate reports names, types and codes that DNS does not know.
func (c *DNSConfig) Validate(r *conf.Report) {
	if _, ok := dns.IsDomainName(c.Name); c.Name != "" && !ok {
		r.At("name").Errorf("%q is not a domain name", c.Name)
	}
	if _, ok := dns.StringToType[strings.ToUpper(c.QType)]; !ok {
		r.At("qtype").Errorf("%q is not a record type", c.QType)
	}
	for i, name := range c.RCode {
		if _, ok := dns.StringToRcode[strings.ToUpper(name)]; !ok {
			r.At("rcode").At(i).Errorf("%q is not a response code", name)
		}
	}
}

type dnsCheck struct {
	*DNSConfig
	dialer dialer
	tls    *tlsSection
	qtype  uint16
	rcodes []int
}

func newDNS(cfg *Config, d dialer) (checkFunc, error) {
	if cfg.DNS == nil {
		return nil, fault.New(fault.Config, "section dns is missing")
	}
	c := &dnsCheck{DNSConfig: cfg.DNS, dialer: d, qtype: dns.StringToType[strings.ToUpper(cfg.DNS.QType)]}
	if _, ok := dns.IsDomainName(c.Name); !ok || c.qtype == 0 {
		return nil, fault.New(fault.Config, "no question: name %q, qtype %q", c.Name, c.QType)
	}
	for _, name := range c.RCode {
		code, ok := dns.StringToRcode[strings.ToUpper(name)]
		if !ok {
			return nil, fault.New(fault.Config, "unknown rcode %q", name)
		}
		c.rcodes = append(c.rcodes, code)
	}
	if c.rcodes == nil {
		c.rcodes = []int{dns.RcodeSuccess}
	}
	var err error
	c.tls, err = newTLSSection(cfg.TLS)
	return c.check, err
}

func (c *dnsCheck) check(ctx context.Context, t Target) (outcome, error) {
	network := "tcp"
	if c.Protocol == "udp" {
		network = "udp"
	}
	nc, err := c.dialer.dial(ctx, network, t)
	if err != nil {
		return outcome{}, err
	}
	defer nc.Close()
	var out outcome
	var link net.Conn = nc
	if c.Protocol == "tls" {
		if link, out, err = c.tls.wrap(ctx, nc, t); err != nil {
			return outcome{}, err
		}
	}
	answer, err := c.exchange(ctx, link)
	if err != nil {
		return outcome{}, err
	}
	return out.prefix(dns.RcodeToString[answer.Rcode]), c.judge(answer)
}

// ednsSize is the largest answer by UDP that is asked for (DNS Flag Day 2020).
const ednsSize = 1232

// maxStrays is how many messages that do not answer the question are passed over: a reply to an earlier
// query from the same port, or a forgery.
const maxStrays = 16

// exchange asks once and waits for the answer to just that question.
func (c *dnsCheck) exchange(ctx context.Context, link net.Conn) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(c.Name), c.qtype)
	q.RecursionDesired = c.Recursion
	q.SetEdns0(ednsSize, false)
	if err := c.send(link, q); err != nil {
		return nil, fault.Wrap(classOf(ctx, err), err, "send query")
	}
	for range maxStrays {
		b, err := c.receive(link)
		if err != nil {
			return nil, fault.Wrap(classOf(ctx, err), err, "read answer")
		}
		m := new(dns.Msg)
		if m.Unpack(b) == nil && m.Response && m.Id == q.Id && sameQuestion(m.Question, q.Question) {
			return m, nil
		}
	}
	return nil, fault.New(fault.Corrupt, "%d messages, none answers the question", maxStrays)
}

// sameQuestion compares as DNS does: letter case does not matter.
func sameQuestion(a, b []dns.Question) bool {
	return slices.EqualFunc(a, b, func(a, b dns.Question) bool {
		return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
	})
}

// send writes m, over a stream with its length before it (RFC 1035 section 4.2.2).
func (c *dnsCheck) send(w io.Writer, m *dns.Msg) error {
	b, err := m.Pack()
	if err != nil {
		return err
	}
	if c.Protocol != "udp" {
		b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
	}
	_, err = w.Write(b)
	return err
}

// receive reads one message: at most 64 KiB, by its length field.
func (c *dnsCheck) receive(r io.Reader) ([]byte, error) {
	if c.Protocol == "udp" {
		b := make([]byte, ednsSize)
		n, err := r.Read(b)
		return b[:n], err
	}
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func (c *dnsCheck) judge(m *dns.Msg) error {
	if !slices.Contains(c.rcodes, m.Rcode) {
		return fault.New(fault.Unavailable, "answered %s", dns.RcodeToString[m.Rcode])
	}
	if len(m.Answer) < c.Answers {
		return fault.New(fault.Unavailable, "%d records, wanted %d", len(m.Answer), c.Answers)
	}
	holds := func(rr dns.RR) bool { return strings.Contains(rr.String(), c.Contains) }
	if c.Contains != "" && !slices.ContainsFunc(m.Answer, holds) {
		return fault.New(fault.Unavailable, "no record contains %q", c.Contains)
	}
	return nil
}
