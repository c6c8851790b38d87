// The policies by their names.

import { ClassicPolicy } from './classic-policy.ts'
import { CorePolicy } from './core-policy.ts'
import type { SchedulerPolicy, SchedulerPolicyName, SchedulerShape } from './policy.ts'
import { RootPolicy } from './root-policy.ts'
import type { PartitionShare } from './scheduled-vp.ts'

export function makePolicy(
  name: SchedulerPolicyName,
  shape: SchedulerShape,
  shares: ReadonlyMap<number, PartitionShare>,
): SchedulerPolicy {
  switch (name) {
    case 'classic':
      return new ClassicPolicy(shape, shares)
    case 'core':
      return new CorePolicy(shape, shares)
    case 'root':
      return new RootPolicy(shape.logicalProcessors)
  }
}
