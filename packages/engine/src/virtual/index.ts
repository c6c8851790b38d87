export {
  COST_MEANINGS,
  DEFAULT_COSTS,
  costModel,
  type CostModel,
  type CostName,
} from './cost-model.ts'
export { SEED_MAX, SeededRandom } from './seeded-random.ts'
export {
  type ActorKind,
  type ActorState,
  type VirtualActor,
  type VirtualActorOptions,
} from './virtual-actor.ts'
export { VirtualClock } from './virtual-clock.ts'
export {
  VirtualEngine,
  type VirtualEnd,
  type VirtualEngineOptions,
  type VirtualPlatform,
} from './virtual-engine.ts'
