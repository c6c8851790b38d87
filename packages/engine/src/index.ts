export type { Clock, EngineClock, Machine } from './machine.ts'
export { MonotonicClock } from './monotonic-clock.ts'
export type { MonotonicClockOptions } from './monotonic-clock.ts'
export { ManualClock } from './manual-clock.ts'
export { SingleThread } from './single-thread.ts'
export type { SingleThreadOptions } from './single-thread.ts'
export { DoorbellSet } from './doorbell-set.ts'
export type { DoorbellSetOptions, WaitableDoorbell } from './doorbell-set.ts'
export { ThreadEngine } from './thread-engine.ts'
export type { EngineStats, StopReason, ThreadEngineOptions, WaitStrategy } from './thread-engine.ts'
export type { Alarm } from './alarm.ts'
export { eventLoopTurn } from './event-loop.ts'
export type { YieldToEventLoop } from './event-loop.ts'
export {
  COST_MEANINGS,
  DEFAULT_COSTS,
  costModel,
  type CostModel,
  type CostName,
} from './virtual/cost-model.ts'
export { SEED_MAX, SeededRandom } from './virtual/seeded-random.ts'
export {
  type ActorKind,
  type ActorState,
  type VirtualActor,
  type VirtualActorOptions,
} from './virtual/virtual-actor.ts'
export { VirtualClock } from './virtual/virtual-clock.ts'
export {
  VirtualEngine,
  type VirtualEnd,
  type VirtualEngineOptions,
  type VirtualPlatform,
} from './virtual/virtual-engine.ts'
