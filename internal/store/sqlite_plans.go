package store

import (
	"sync"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// stablePlans makes SQLite plan each statement once. Left alone it looks at the
// values bound to a statement to guess how many rows they select, and parses
// and plans the statement again whenever another value is bound, which costs
// more than running it. The switch is SQLITE_DBCONFIG_ENABLE_QPSG; it has no
// pragma and the driver has no method for it, so every new connection is given
// it by a hook that SQLite calls.
var stablePlans = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	defer tls.Close()
	hook := onOpen
	lib.Xsqlite3_auto_extension(tls, *(*uintptr)(unsafe.Pointer(&hook)))
})

// onOpen has the shape of an extension's entry point.
func onOpen(tls *libc.TLS, db, _, _ uintptr) int32 {
	args := libc.NewVaList(int32(1), uintptr(0))
	if args == 0 {
		return lib.SQLITE_NOMEM
	}
	defer libc.Xfree(tls, args)
	return lib.Xsqlite3_db_config(tls, db, lib.SQLITE_DBCONFIG_ENABLE_QPSG, args)
}
