/** `/v1/kubernetes`: where kubectl finds the box. */
import { Type, type Static } from 'typebox';

export const Kubernetes = Type.Object({
  kind: Type.Literal('kubernetes'),
  server: Type.String({ description: 'address for kubectl, as the box sees itself' }),
  ca: Type.String({ description: 'PEM: the certificate that it shows' }),
  names: Type.Array(Type.String(), { description: 'names and addresses that the certificate is for' }),
});
export type Kubernetes = Static<typeof Kubernetes>;
