;; Copies and fills inside one shared memory. It needs no multi-memory, so it runs where
;; `copy-kernel.wat` does not.
(module
  (import "guestmem" "memory" (memory $memory 1 65536 shared))
  (func (export "copy") (param $to i32) (param $from i32) (param $length i32)
    (memory.copy $memory $memory (local.get $to) (local.get $from) (local.get $length)))
  (func (export "fill") (param $at i32) (param $byte i32) (param $length i32)
    (memory.fill $memory (local.get $at) (local.get $byte) (local.get $length))))
