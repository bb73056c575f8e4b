/** `1 VM`, `2 VMs`. */
export const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;
