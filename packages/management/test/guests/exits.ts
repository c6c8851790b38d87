import process from 'node:process'

export async function main(): Promise<void> {
  process.exit(7)
}
