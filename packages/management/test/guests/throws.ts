export async function main(): Promise<void> {
  throw new Error('the disk is on fire')
}
