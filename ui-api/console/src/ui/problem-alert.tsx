import { Alert, ClipboardCopy, Content } from '@patternfly/react-core';
import type { ReactNode } from 'react';
import { showProblem } from '../api/problem.ts';
import { text } from '../i18n/text.ts';

/** A failure with its cause, what to do, its code and trace id. */
export function ProblemAlert({ error, title, actions }: { error: unknown; title?: string; actions?: ReactNode }) {
  const problem = showProblem(error);
  return (
    <Alert variant="danger" isInline title={title ?? problem.title} actionLinks={actions} role="alert">
      <p>{problem.detail}</p>
      {problem.fix.map((step) => (
        <p key={step}>{step}</p>
      ))}
      {problem.traceId && (
        <Content component="small">
          {text.errors.code} {problem.code} · {text.errors.trace}{' '}
          <ClipboardCopy variant="inline-compact" isCode hoverTip={text.common.copy} clickTip={text.common.copied}>
            {problem.traceId}
          </ClipboardCopy>
        </Content>
      )}
    </Alert>
  );
}
