;; Copies and fills between two memories, at memcpy speed.
;;
;; `local` belongs to the caller alone; `remote` is shared with somebody else. Addresses and lengths
;; are bytes. They must have been checked by the caller: a touch beyond either memory traps, and
;; nothing of the copy has then been done.
(module
  (import "guestmem" "local" (memory $local 1))
  (import "guestmem" "remote" (memory $remote 1 65536 shared))
  (func (export "toRemote") (param $to i32) (param $from i32) (param $length i32)
    (memory.copy $remote $local (local.get $to) (local.get $from) (local.get $length)))
  (func (export "toLocal") (param $to i32) (param $from i32) (param $length i32)
    (memory.copy $local $remote (local.get $to) (local.get $from) (local.get $length)))
  (func (export "withinRemote") (param $to i32) (param $from i32) (param $length i32)
    (memory.copy $remote $remote (local.get $to) (local.get $from) (local.get $length)))
  (func (export "withinLocal") (param $to i32) (param $from i32) (param $length i32)
    (memory.copy $local $local (local.get $to) (local.get $from) (local.get $length)))
  (func (export "fillRemote") (param $at i32) (param $byte i32) (param $length i32)
    (memory.fill $remote (local.get $at) (local.get $byte) (local.get $length)))
  (func (export "fillLocal") (param $at i32) (param $byte i32) (param $length i32)
    (memory.fill $local (local.get $at) (local.get $byte) (local.get $length))))
