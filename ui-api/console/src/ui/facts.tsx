import {
  Card,
  CardBody,
  CardTitle,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
} from '@patternfly/react-core';
import type { ReactNode } from 'react';

/** A card of names and values. */
export function Facts({
  title,
  facts,
  action,
}: {
  title: string;
  facts: readonly (readonly [string, ReactNode])[];
  action?: ReactNode;
}) {
  return (
    <Card isCompact className="croft-card">
      <CardTitle component="h2">
        <span className="croft-title">
          {title}
          {action}
        </span>
      </CardTitle>
      <CardBody>
        <DescriptionList orientation={{ sm: 'horizontal' }} isCompact termWidth="10rem" aria-label={title}>
          {facts.map(([term, value]) => (
            <DescriptionListGroup key={term}>
              <DescriptionListTerm>{term}</DescriptionListTerm>
              <DescriptionListDescription>{value}</DescriptionListDescription>
            </DescriptionListGroup>
          ))}
        </DescriptionList>
      </CardBody>
    </Card>
  );
}
