package sock

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/vrrp"
)

// Filter says which VRIDs are received from now on; none: nothing is. What was received before stays in the queue.
func (s *Socket) Filter(ids []vrrp.VRID) error {
	program := filter(s.opt.Four, s.opt.Multicast, ids)
	err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return refused(err, "sock: filter on %s", s.opt.Link.Name)
	}
	return nil
}

// filter returns a program that keeps the packets with one of the VRIDs, the payload's second byte in all versions. To
// filters of a raw socket an IPv4 packet begins with its header, one of IPv6 behind all headers. A packet too short
// to have a VRID ends the program, and is dropped.
func filter(four, multicast bool, ids []vrrp.VRID) []unix.SockFilter {
	const none, whole = 0, 1 << 16
	var program []unix.SockFilter
	switch {
	case four:
		program = append(program,
			unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0}, // the header's length
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_IND, K: 1})
	case multicast:
		program = append(program, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 1})
	default:
		// To raw sockets that are not bound to an address IPV6_MULTICAST_ALL means nothing.
		const networkHeader, dst = 1<<32 - 0x100000, 24 // SKF_NET_OFF of linux/filter.h
		program = append(program,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: networkHeader + dst},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0xff, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: none},
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 1})
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	ids = slices.DeleteFunc(ids, func(id vrrp.VRID) bool { return id == 0 })
	for i, id := range ids {
		// Over the other VRIDs and the first return: 255 of them are the most that a jump can pass.
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(id), Jt: uint8(len(ids) - i)})
	}
	return append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: none},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: whole})
}
