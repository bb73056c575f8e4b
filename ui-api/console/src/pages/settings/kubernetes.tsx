/** The way for kubectl and virtctl to this box: a kubeconfig with a token of its own. */
import { Alert, Button, Card, CardBody, CardTitle, Form } from '@patternfly/react-core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { kubeconfigOf } from '../../../../client/kubeconfig.ts';
import { ApiProblem } from '../../../../client/problem.ts';
import type { Kubernetes, TokenWithSecret } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { kubernetesQuery, tokensQuery } from '../../api/queries.ts';
import { saveFile } from '../../api/save-file.ts';
import { useSubmit } from '../../hooks/use-submit.ts';
import { text } from '../../i18n/text.ts';
import { Empty } from '../../ui/empty.tsx';
import { Loaded } from '../../ui/loaded.tsx';
import { ProblemAlert } from '../../ui/problem-alert.tsx';
import { TokenFields, tokenFields, usualToken } from '../../ui/token-fields.tsx';

const fileName = 'croft.kubeconfig';

export function KubernetesTab() {
  const query = useQuery(kubernetesQuery);
  // A box on Kubernetes has that cluster's own kubeconfig: the answer says where it is.
  if (query.error instanceof ApiProblem && query.error.status === 409)
    return <Empty title={text.kubernetes.title}>{query.error.message}</Empty>;
  return (
    <Loaded query={query} what={text.kubernetes.title}>
      {(kubernetes) => <Kubeconfig kubernetes={kubernetes} />}
    </Loaded>
  );
}

function Kubeconfig({ kubernetes }: { kubernetes: Kubernetes }) {
  const [choice, setChoice] = useState(usualToken);
  const [made, setMade] = useState<string>();
  const queries = useQueryClient();
  const { isPending, error, submit } = useSubmit(async () => {
    setMade(undefined);
    const name = `kubectl-${Date.now().toString(36)}`;
    const wish = { name, ...tokenFields(choice), description: text.kubernetes.tokenFor };
    const { secret } = (await client.tokens.create(wish)).body as TokenWithSecret;
    const config = kubeconfigOf(kubernetes, { reached: location.origin, token: secret, namespace: 'default' });
    // JSON is YAML too.
    saveFile(fileName, new TextEncoder().encode(`${JSON.stringify(config, undefined, 2)}\n`));
    setMade(name);
    await queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
  });
  return (
    <div className="croft-cards">
      <Card isCompact className="croft-card">
        <CardTitle component="h2">{text.kubernetes.title}</CardTitle>
        <CardBody className="croft-stack">
          <p>{text.kubernetes.what}</p>
          <Form onSubmit={submit} noValidate>
            {error !== undefined && <ProblemAlert error={error} />}
            {made && (
              <Alert variant="success" isInline title={text.backup.saved(fileName)}>
                {text.kubernetes.made(made)}
              </Alert>
            )}
            <TokenFields value={choice} onChange={setChoice} />
            <div>
              <Button type="submit" variant="primary" isLoading={isPending} isDisabled={isPending}>
                {text.backup.submit}
              </Button>
            </div>
          </Form>
        </CardBody>
      </Card>
      <Card isCompact className="croft-card">
        <CardTitle component="h2">{text.kubernetes.use}</CardTitle>
        <CardBody className="croft-stack">
          <pre className="croft-command">{`export KUBECONFIG=${fileName}\nkubectl get vm\nvirtctl start web-1`}</pre>
          <p>{text.kubernetes.same}</p>
          <pre className="croft-command">croft kubeconfig --file {fileName}</pre>
        </CardBody>
      </Card>
    </div>
  );
}
