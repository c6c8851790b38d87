export async function main(): Promise<void> {
  // A guest that never comes back to its kernel.
  for (;;);
}
