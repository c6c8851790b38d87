/** Throws outside `main`: nobody awaits it. */
export async function main(): Promise<void> {
  setTimeout(() => {
    throw new Error('nobody caught this')
  }, 1)
  await new Promise<void>(() => {})
}
