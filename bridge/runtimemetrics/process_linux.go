package runtimemetrics

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A process reads what the kernel tells about this process. It keeps two files open, so that a reading needs few system
// calls and no memory. The garbage collector closes them. [metricsbuffer.Poll.Stop] does not, as a reading may be under
// way then.
type process struct {
	stat, descriptors *os.File
	started           time.Time
	page              float64 // bytes

	// The memory of a reading.
	scratch [4096]byte
	limits  struct{ files, memory unix.Rlimit }
}

// openProcess opens the files, and finds out when the process was started.
func openProcess() (*process, error) {
	p := &process{page: float64(os.Getpagesize())}
	var err error
	if p.stat, err = os.Open("/proc/self/stat"); err != nil {
		return nil, err
	}
	if p.descriptors, err = os.Open("/proc/self/fd"); err != nil {
		p.close()
		return nil, err
	}
	stat, err := p.readStat()
	var boot unix.Timespec
	if err = errors.Join(err, unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)); err != nil {
		p.close()
		return nil, err
	}
	p.started = time.Now().Add(stat.started - time.Duration(boot.Nano()))
	return p, nil
}

func (p *process) close() {
	_ = p.stat.Close() // nothing was written
	_ = p.descriptors.Close()
}

func (p *process) readStat() (statLine, error) {
	n, err := p.stat.ReadAt(p.scratch[:], 0)
	if n == 0 {
		return statLine{}, fmt.Errorf("/proc/self/stat cannot be read: %w", err)
	}
	return parseStat(p.scratch[:n])
}

// read sets u, or returns false if the kernel does not tell.
func (p *process) read(u *usage) bool {
	stat, err := p.readStat()
	if err != nil {
		return false
	}
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) != nil || unix.Getrlimit(unix.RLIMIT_NOFILE, &p.limits.files) != nil ||
		unix.Getrlimit(unix.RLIMIT_AS, &p.limits.memory) != nil {
		return false
	}
	open, err := p.countDescriptors()
	if err != nil {
		return false
	}
	*u = usage{
		started: p.started,
		user:    time.Duration(used.Utime.Nano()), system: time.Duration(used.Stime.Nano()),
		threads:  float64(stat.threads),
		resident: float64(stat.pages) * p.page, virtual: float64(stat.virtual), maxVirtual: float64(p.limits.memory.Cur),
		descriptors: float64(open), maxDescriptors: float64(p.limits.files.Cur),
	}
	return true
}

// countDescriptors returns the number of open file descriptors. Since Linux 6.2 it is the size of their directory.
// Before, that size was 0.
func (p *process) countDescriptors() (int64, error) {
	defer runtime.KeepAlive(p.descriptors)
	fd := int(p.descriptors.Fd())
	var about unix.Stat_t
	if err := unix.Fstat(fd, &about); err != nil || about.Size > 0 {
		return about.Size, err
	}
	return countEntries(fd, p.scratch[:])
}

// countEntries returns the number of entries of an open directory, but for "." and "..".
func countEntries(fd int, scratch []byte) (int64, error) {
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return 0, err
	}
	for entries := int64(-2); ; {
		n, err := unix.ReadDirent(fd, scratch)
		if err != nil || n == 0 {
			return entries, err
		}
		for at := 0; at < n; entries++ {
			at += int(binary.NativeEndian.Uint16(scratch[at+16:])) // d_reclen: see getdents64(2)
		}
	}
}
