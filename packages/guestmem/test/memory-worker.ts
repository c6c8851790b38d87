import { parentPort, workerData } from 'node:worker_threads'
import { GuestMemory, type WasmMemory } from '@guestyard/guestmem'

const memory = GuestMemory.attach(workerData as WasmMemory)
memory.u8[101] = 2
parentPort!.postMessage({ sizeBytes: memory.sizeBytes, seen: memory.u8[100] })
