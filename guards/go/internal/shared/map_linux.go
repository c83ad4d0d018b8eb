package shared

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// host is what a lease in a file holds for: this boot of this machine, and its clock.
type host struct {
	boot      string
	namespace int64
}

// here is the host of this process; empty where the system has no such thing.
func here() host {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	var namespace unix.Stat_t
	if unix.Stat("/proc/self/ns/time", &namespace) != nil {
		namespace.Ino = 0
	}
	return host{strings.TrimSpace(string(boot)), int64(namespace.Ino)}
}

// At gives the file that a path leads to now.
func At(path string) (Inode, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return Inode{}, fmt.Errorf("%s: %w", path, err)
	}
	return Inode{uint64(stat.Dev), stat.Ino}, nil
}

// RequireHost refuses a table whose lease counts on another clock.
func (t *Table) RequireHost() error {
	at := here()
	if at.boot == "" {
		return errors.New("this system has no boot_id: a lease of another boot could not be told from one of this boot")
	}
	if t.madeOn != at {
		return errors.New("another boot or another clock made this table")
	}
	return nil
}

func open(path string) (*Table, error) {
	descriptor, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer unix.Close(descriptor) // the mapping needs none
	var stat unix.Stat_t
	if err := unix.Fstat(descriptor, &stat); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := requireTrust(path, &stat); err != nil {
		return nil, err
	}
	if stat.Size < page {
		return nil, fmt.Errorf("%w: %d bytes", ErrNotATable, stat.Size)
	}
	whole, err := unix.Mmap(descriptor, 0, int(stat.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t, err := read(whole)
	if err != nil {
		_ = unix.Munmap(whole)
		return nil, err
	}
	t.Inode = Inode{uint64(stat.Dev), stat.Ino}
	runtime.AddCleanup(t, func(whole []byte) { _ = unix.Munmap(whole) }, whole)
	return t, nil
}

// requireTrust refuses a file that others than its agent may have written.
func requireTrust(path string, stat *unix.Stat_t) error {
	if stat.Mode&unix.S_IWOTH != 0 {
		return fmt.Errorf("%w: everybody may write to %s", ErrNotATable, path)
	}
	var folder unix.Stat_t
	if err := unix.Stat(filepath.Dir(path), &folder); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	own := stat.Uid == 0 || int(stat.Uid) == os.Geteuid() || stat.Uid == folder.Uid
	if folder.Mode&unix.S_ISVTX != 0 && !own {
		return fmt.Errorf("%w: anybody may have put %s into its folder", ErrNotATable, path)
	}
	return nil
}
