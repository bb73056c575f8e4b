import { Button, Tooltip, type ButtonProps } from '@patternfly/react-core';

/** A button that says why it can't be pressed, to mouse, keyboard and screen reader alike. */
export function ActionButton({ refusal, ...props }: ButtonProps & { refusal?: string | undefined }) {
  if (refusal === undefined) return <Button {...props} />;
  return (
    <Tooltip content={refusal}>
      <Button {...props} isAriaDisabled onClick={undefined} />
    </Tooltip>
  );
}
