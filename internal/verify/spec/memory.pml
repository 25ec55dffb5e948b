/* Memory as a multiprocessor with total store order (amd64) has it: a store waits in its processor's buffer, and
 * becomes visible to the others later, in order. Its own processor sees it at once. A locked instruction waits until
 * the buffer is empty. Loads are performed in order.
 *
 * A processor is named by a number, cpu. It stands for any thread that runs there: the operating system drains the
 * buffer before it lets another one continue. A full buffer makes room by itself, so no store ever waits for anybody.
 */
#ifndef DEPTH
#define DEPTH 4 /* stores that a buffer holds */
#endif

typedef storeBuffer {
	byte length;
	byte address[DEPTH]; /* oldest first; unused places are 0, so that equal buffers are equal states */
	byte value[DEPTH]
}

byte memory[WORDS];
storeBuffer buffer[CPUS];
byte i; /* of loops that are one step; 0 between steps */

/* The oldest store in the buffer becomes visible. */
inline settle(cpu) {
	memory[buffer[cpu].address[0]] = buffer[cpu].value[0];
	buffer[cpu].length--;
	i = 0;
	do
	:: i < buffer[cpu].length ->
		buffer[cpu].address[i] = buffer[cpu].address[i + 1];
		buffer[cpu].value[i] = buffer[cpu].value[i + 1];
		i++
	:: else -> break
	od;
	buffer[cpu].address[i] = 0;
	buffer[cpu].value[i] = 0;
	i = 0
}

/* A plain store. Like load, it belongs into a d_step: by itself it is one step, and others may come before the next. */
inline store(cpu, where, number) {
	if
	:: buffer[cpu].length == DEPTH -> settle(cpu)
	:: else
	fi;
	buffer[cpu].address[buffer[cpu].length] = where;
	buffer[cpu].value[buffer[cpu].length] = number;
	buffer[cpu].length++
}

/* A load: from the youngest store in the own buffer, if there is one. */
inline load(cpu, where, result) {
	result = memory[where];
	i = 0;
	do
	:: i < buffer[cpu].length ->
		if
		:: buffer[cpu].address[i] == where -> result = buffer[cpu].value[i]
		:: else
		fi;
		i++
	:: else -> i = 0; break
	od
}

/* A full barrier on that processor: part of every locked instruction; the fence makes other processors execute one. */
inline barrier(cpu) {
	d_step {
		do
		:: buffer[cpu].length > 0 -> settle(cpu)
		:: else -> break
		od
	}
}

/* The hardware: any store may become visible at any time. */
proctype Memory(byte cpu) {
end:	do
	:: d_step {
		buffer[cpu].length > 0 ->
		printf("    memory: a store of processor %d becomes visible, word %d = %d\n",
			cpu, buffer[cpu].address[0], buffer[cpu].value[0]);
		settle(cpu)
	}
	od
}
