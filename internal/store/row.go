package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/orionflows/orion"
	"zombiezen.com/go/sqlite"
)

// Row is the present row of a query, from either database.
type Row struct {
	s   *sqlite.Stmt // SQLite
	raw [][]byte     // PostgreSQL, binary format
}

// jsonDest marks a destination that a JSON column is decoded into.
type jsonDest struct{ v any }

// octets are the value of a BYTES column.
type octets []byte

// asJSON scans a JSON column into v.
func asJSON(v any) jsonDest { return jsonDest{v} }

// Scan copies the columns, in order, into pointers. NULL becomes the zero
// value, or nil for pointers to pointers.
func (r *Row) Scan(dest ...any) error {
	for i, d := range dest {
		var err error
		if r.s != nil {
			err = scanSQLite(r.s, i, d)
		} else {
			err = scanPostgres(r.raw[i], d)
		}
		if err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

func scanSQLite(s *sqlite.Stmt, i int, dest any) error {
	null := s.ColumnType(i) == sqlite.TypeNull
	switch d := dest.(type) {
	case *orion.ID:
		*d = orion.ID{}
		if !null {
			s.ColumnBytes(i, d[:])
		}
	case *orion.Time:
		if null {
			*d = orion.Time{}
		} else {
			*d = orion.Micro(s.ColumnInt64(i))
		}
	case *string:
		*d = s.ColumnText(i)
	case **string:
		if null {
			*d = nil
		} else {
			v := s.ColumnText(i)
			*d = &v
		}
	case *int64:
		*d = s.ColumnInt64(i)
	case **int64:
		if null {
			*d = nil
		} else {
			v := s.ColumnInt64(i)
			*d = &v
		}
	case *bool:
		*d = s.ColumnInt64(i) != 0
	case *float64:
		*d = s.ColumnFloat(i)
	case *orion.Seconds:
		*d = orion.Seconds(s.ColumnInt64(i) * 1000)
	case *orion.JSON:
		if null {
			*d = nil
		} else {
			*d = columnBytes(s, i)
		}
	case *octets:
		*d = columnBytes(s, i)
	case jsonDest:
		if !null {
			return orion.Decode(columnBytes(s, i), d.v)
		}
	default:
		return fmt.Errorf("cannot scan into %T", dest)
	}
	return nil
}

func columnBytes(s *sqlite.Stmt, i int) []byte {
	b := make([]byte, s.ColumnLen(i))
	s.ColumnBytes(i, b)
	return b
}

func scanPostgres(raw []byte, dest any) error {
	switch d := dest.(type) {
	case *orion.ID:
		*d = orion.ID{}
		copy(d[:], raw)
	case *orion.Time:
		*d = orion.Time{}
		if raw != nil {
			*d = orion.Micro(pgInt(raw))
		}
	case *string:
		*d = string(raw)
	case **string:
		*d = nil
		if raw != nil {
			v := string(raw)
			*d = &v
		}
	case *int64:
		*d = pgInt(raw)
	case **int64:
		*d = nil
		if raw != nil {
			v := pgInt(raw)
			*d = &v
		}
	case *bool:
		*d = len(raw) == 1 && raw[0] == 1
	case *float64:
		if len(raw) == 8 {
			*d = math.Float64frombits(binary.BigEndian.Uint64(raw))
		} else if len(raw) == 4 {
			*d = float64(math.Float32frombits(binary.BigEndian.Uint32(raw)))
		} else {
			*d = 0
		}
	case *orion.Seconds:
		*d = orion.Seconds(pgInt(raw) * 1000)
	case *orion.JSON:
		*d = nil
		if raw != nil {
			*d = append(orion.JSON{}, raw...)
		}
	case *octets:
		*d = append(octets{}, raw...)
	case jsonDest:
		if raw != nil {
			return orion.Decode(raw, d.v)
		}
	default:
		return fmt.Errorf("cannot scan into %T", dest)
	}
	return nil
}

func pgInt(raw []byte) int64 {
	switch len(raw) {
	case 8:
		return int64(binary.BigEndian.Uint64(raw))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(raw)))
	case 2:
		return int64(int16(binary.BigEndian.Uint16(raw)))
	case 1:
		return int64(raw[0])
	}
	return 0
}

// bindValue turns an argument into one of: nil, int64, float64, bool, string,
// []byte (an id), octets.
func bindValue(a any) (any, error) {
	switch v := a.(type) {
	case nil, int64, float64, bool, string, octets:
		return v, nil
	case orion.ID:
		if v.IsZero() {
			return nil, nil
		}
		return v[:], nil
	case orion.Time:
		if v.IsZero() {
			return nil, nil
		}
		return v.Micro(), nil
	case *string:
		if v == nil {
			return nil, nil
		}
		return *v, nil
	case *int64:
		if v == nil {
			return nil, nil
		}
		return *v, nil
	case int:
		return int64(v), nil
	case orion.Seconds:
		return int64(v) / 1000, nil
	case orion.JSON:
		if orion.IsNull(v) {
			return nil, nil
		}
		return string(v), nil
	case orion.StateType:
		return string(v), nil
	case []string:
		if v == nil {
			return "[]", nil
		}
		b, err := orion.Encode(v)
		return string(b), err
	case orion.FlowRunPolicy:
		b, err := orion.EncodeCompact(v)
		return string(b), err
	case orion.TaskRunPolicy:
		b, err := orion.EncodeCompact(v)
		return string(b), err
	case orion.StateDetails:
		b, err := orion.EncodeCompact(v)
		return string(b), err
	case orion.Schedule:
		b, err := orion.Encode(v)
		return string(b), err
	}
	return nil, fmt.Errorf("cannot bind %T (%s)", a, strconv.Quote(fmt.Sprint(a)))
}
