/** The small typed object that is sent. */
export interface Reading {
  readonly id: number
  readonly sensor: string
  readonly value: number
  readonly ok: boolean
}

export function makeReading(id: number): Reading {
  return { id, sensor: 'temperature', value: id * 0.5, ok: true }
}

/** What is wrong when message `id` is not the one that was due. */
export function outOfOrder(id: number, expected: number): string {
  return `message ${id} came in the place of ${expected}`
}
